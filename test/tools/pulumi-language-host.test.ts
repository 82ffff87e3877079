import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { LanguageRuntimeClient } from "@pulumi/pulumi/proto/language_grpc_pb";
import {
  GetRequiredPackagesRequest,
  type GetRequiredPackagesResponse,
  ProgramInfo,
  RunPluginRequest,
  type RunPluginResponse,
} from "@pulumi/pulumi/proto/language_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { projectDirectory } from "../../tools/project-directory";

const host = join(projectDirectory(), "tools", "pulumi-language-nodejs", "main.ts");

describe("the stand-in language host", function () {
  this.timeout(60_000);
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-host-"));
  const started: ChildProcess[] = [];
  const clients: LanguageRuntimeClient[] = [];

  /** As the CLI starts it: in the program's folder, with the engine's address. */
  function start(cwd: string): ChildProcess {
    const loader = require.resolve("ts-node/register/transpile-only");
    const env = { ...process.env, TS_NODE_PROJECT: join(projectDirectory(), "tsconfig.json") };
    const child = spawn(process.execPath, ["--require", loader, host, "127.0.0.1:1"], {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    started.push(child);
    return child;
  }

  async function connect(child: ChildProcess): Promise<LanguageRuntimeClient> {
    const [line] = (await once(child.stdout ?? assert.fail(), "data")) as [Buffer];
    const client = new LanguageRuntimeClient(`127.0.0.1:${line.toString().trim()}`, credentials.createInsecure());
    clients.push(client);
    return client;
  }

  function plugin(program: string): RunPluginRequest {
    writeFileSync(join(directory, "index.js"), program);
    const info = new ProgramInfo()
      .setProgramDirectory(directory)
      .setOptions(Struct.fromJavaScript({ typescript: false }));
    return new RunPluginRequest().setPwd(directory).setArgsList(["first"]).setEnvList(["WORD=a=b"]).setInfo(info);
  }

  before(() => {
    symlinkSync(join(projectDirectory(), "node_modules"), join(directory, "node_modules"));
    writeFileSync(join(directory, "package.json"), "{}");
  });
  after(() => {
    for (const client of clients) client.close();
    for (const child of started) child.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  });

  it("asks for no packages, runs a plugin with its arguments and environment, and relays output and exit code", async () => {
    const client = await connect(start(directory));
    const packages = await new Promise<GetRequiredPackagesResponse>((resolve, reject) => {
      client.getRequiredPackages(new GetRequiredPackagesRequest(), (error, response) =>
        error ? reject(error) : resolve(response),
      );
    });
    assert.deepEqual(packages.getPackagesList(), []);

    const call = client.runPlugin(
      plugin("console.log(process.argv[2], process.env.WORD); console.error('careful'); process.exit(3);"),
    );
    const output = { stdout: "", stderr: "", exitCode: -1 };
    call.on("data", (response: RunPluginResponse) => {
      output.stdout += Buffer.from(response.getStdout_asU8()).toString();
      output.stderr += Buffer.from(response.getStderr_asU8()).toString();
      if (response.hasExitcode()) output.exitCode = response.getExitcode();
    });
    await once(call, "end");
    assert.deepEqual(output, { stdout: "first a=b\n", stderr: "careful\n", exitCode: 3 });
  });

  it("SIGINT, by which the CLI ends its plugins, ends it at once, and what it runs", async () => {
    const child = start(directory);
    const client = await connect(child);
    const call = client.runPlugin(plugin("console.log(process.pid); setInterval(() => {}, 1000);"));
    call.on("error", () => undefined); // the connection ends with the host
    const [response] = (await once(call, "data")) as [RunPluginResponse];
    const pid = Number(Buffer.from(response.getStdout_asU8()).toString());
    child.kill("SIGINT");
    assert.deepEqual(await once(child, "exit"), [0, null]);
    for (;;) {
      try {
        process.kill(pid, 0);
      } catch {
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  it("where the SDK is not installed it says so", async () => {
    const empty = mkdtempSync(join(tmpdir(), "kms-etcd-empty-"));
    const child = start(empty);
    let text = "";
    child.stderr?.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const [code] = (await once(child, "close")) as [number];
    rmSync(empty, { recursive: true });
    assert.equal(code, 1);
    assert.match(text, /has no @pulumi\/pulumi in its node_modules: run npm install there/);
  });
});
