import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { kmsClient } from "./support/kms-client";
import { useWorkshop } from "./support/plugin-process";

describe("the plugin's process", function () {
  // The machine may be busy with other tests; each of these takes a fraction of a second on a free one.
  this.timeout(20_000);
  const workshop = useWorkshop();
  const flags = (name: string) => {
    const socket = join(workshop.directory, name);
    return { socket, args: ["local", `--key-file=${workshop.keyFile}`, `--listen-addr=unix://${socket}`] };
  };

  it("serves until SIGTERM, then ends at once with code 0 and takes its socket along", async () => {
    const { socket, args } = flags("a.sock");
    const plugin = workshop.start(...args);
    await plugin.served(socket);
    const client = kmsClient(socket);
    const { keyId } = await client.v2.Status({});
    const plain = Buffer.from("seed");
    const { cipher } = await client.v1.Encrypt({ version: "v1beta1", plain });
    assert.deepEqual(
      (await client.v2.Decrypt({ ciphertext: cipher, uid: "u", keyId, annotations: {} })).plaintext,
      plain,
    );
    assert.equal((await client.v1.Version({ version: "v1beta1" })).runtimeVersion, "v9.8.7");
    const asked = performance.now();
    plugin.kill("SIGTERM");
    assert.equal(await plugin.ended, 0);
    assert.ok(performance.now() - asked < 1_000);
    assert.equal(existsSync(socket), false);
    client.close();
    assert.match(
      plugin.output.stderr,
      /"serving KMS v2 and v1" .*key_id="local-[0-9a-f]{32}"[^]*"stopping" signal="SIGTERM"\n$/,
    );
  });

  it("takes over the socket that a killed one left", async () => {
    const { socket, args } = flags("b.sock");
    const first = workshop.start(...args);
    await first.served(socket);
    first.kill("SIGKILL");
    assert.equal(await first.ended, "SIGKILL");
    assert.ok(existsSync(socket));
    await workshop.start(...args).served(socket);
  });

  it("refuses the socket of a running one, which goes on", async () => {
    const { socket, args } = flags("c.sock");
    await workshop.start(...args).served(socket);
    const second = await workshop.run(...args);
    assert.equal(second.code, 1);
    assert.ok(
      second.stderr.endsWith(
        `kms-etcd-plugin: a running process serves ${socket}\nstop it, or choose another socket\n`,
      ),
      second.stderr,
    );
    const client = kmsClient(socket);
    assert.equal((await client.v2.Status({})).healthz, "ok");
    client.close();
  });

  it("ends by SIGTERM also while it starts", async () => {
    const { args } = flags("d.sock");
    const plugin = workshop.start(...args);
    // From the line that it starts on, its handlers are there.
    while (!plugin.output.stderr.includes("starting")) await new Promise((resolve) => setImmediate(resolve));
    plugin.kill("SIGTERM");
    assert.equal(await plugin.ended, 0);
    assert.equal(existsSync(join(workshop.directory, "d.sock")), false);
  });

  it("loads the configured key provider and no other", async function () {
    this.timeout(60_000);
    const { socket, args } = flags("e.sock");
    const hook = join(workshop.directory, "hook.cjs");
    await writeFile(
      hook,
      'process.on("exit", () => process.stdout.write(Object.keys(require("module")._cache).join("\\n")));',
    );
    const main = join(__dirname, "..", "..", "plugin-server", "main.ts");
    const child = spawn(process.execPath, ["-r", "ts-node/register/transpile-only", "-r", hook, main, ...args], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    let modules = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      modules += text;
    });
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGTERM");
    await once(child, "close");
    assert.match(modules, /providers\/local-key\/index\.ts/);
    for (const other of ["@azure/", "@aws-sdk/", "/providers/a", "/pino/", "/undici/"])
      assert.ok(!modules.includes(other), other);
  });

  it("runs twice on one host by seed 000's recipe: the second has its own socket and health port, and no metrics flag", async function () {
    // Both bind all interfaces, as upstream does: so on a network of their own, which only root can make.
    if (spawnSync("unshare", ["--net", "true"]).status !== 0) return this.skip();
    const azureJson = join(workshop.directory, "azure.json");
    await writeFile(azureJson, JSON.stringify({ useManagedIdentityExtension: true, userAssignedIdentityID: "" }));
    const names = ["--keyvault-name=myvault", "--key-name=k8s", `--key-version=${"0123456789abcdef".repeat(2)}`];
    const rest = [
      "--log-format-json=false",
      "--healthz-path=/healthz",
      "--healthz-timeout=20s",
      "--managed-hsm=false",
      "-v=5",
    ];
    const sockets = [
      join(workshop.directory, "azurekms.socket"),
      join(workshop.directory, "azurekms2.socket"),
    ] as const;
    const command = (socket: string, port: number) =>
      [
        process.execPath,
        workshop.entry,
        `--listen-addr=unix://${socket}`,
        ...names,
        ...rest,
        `--healthz-port=${port}`,
        `--config-file-path=${azureJson}`,
      ].join(" ");
    const script = `${command(sockets[0], 8787)} & first=$!; read go; ${command(sockets[1], 8788)} & second=$!; read stop; kill $first $second; wait $first && wait $second`;
    const shell = spawn("unshare", ["--net", "sh", "-c", script], { stdio: ["pipe", "ignore", "pipe"] });
    let log = "";
    shell.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    const ended = once(shell, "close");
    for (const socket of sockets) {
      while (!existsSync(socket) && shell.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 10));
      shell.stdin.write("\n");
    }
    assert.deepEqual(await ended, [0, null], log);
    assert.equal(log.match(/"serving KMS v2 and v1"/g)?.length, 2, log);
    assert.equal(
      log.match(/"the default metrics port is taken: metrics are served beside health" port=8095/g)?.length,
      1,
      log,
    );
  });

  it("prints its version, in upstream's form", async () => {
    const { code, stdout } = await workshop.run("--version");
    assert.deepEqual([code, JSON.parse(stdout)], [0, { BuildVersion: "v9.8.7", GitCommit: "abc", BuildDate: "" }]);
  });

  it("says everything that is wrong with its command line, and how to get help", async () => {
    const { code, stderr } = await workshop.run("local", "--foo", "--healthz-port=x");
    assert.equal(code, 1);
    assert.equal(
      stderr,
      `kms-etcd-plugin: the command line has 4 problems:
  - --foo is not a flag that this program knows
  - --key-file is missing
  - --listen-addr is missing
  - --healthz-port is "x": give a port, host:port, or "none"
see kms-etcd-plugin local --help
`,
    );
  });

  it("does not start on a key file that others can read, and says how to mend it", async () => {
    const keyFile = join(workshop.directory, "open-key");
    await copyFile(workshop.keyFile, keyFile);
    await chmod(keyFile, 0o644);
    const { code, stderr } = await workshop.run(
      "local",
      `--key-file=${keyFile}`,
      `--listen-addr=unix://${join(workshop.directory, "f.sock")}`,
    );
    assert.equal(code, 1);
    assert.ok(stderr.endsWith(`chmod 0600 ${keyFile}\n`), stderr);
  });

  it("outlives the reader of its log", async () => {
    const { socket, args } = flags("g.sock");
    const plugin = workshop.start(...args, "-v=4");
    await plugin.served(socket);
    plugin.closeLog();
    const client = kmsClient(socket);
    for (let call = 0; call < 20; call++) await client.v2.Encrypt({ plaintext: Buffer.from("p"), uid: String(call) });
    assert.equal((await client.v2.Status({})).healthz, "ok");
    client.close();
  });
});
