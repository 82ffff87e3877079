import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { GetSchemaRequest } from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { connectUnary } from "../../provider/unary-call";
import { repository } from "./support/pulumi-project";

const executable = join(repository, "provider", "pulumi-resource-kms-etcd");

/** The address is nobody's: what is tried here needs no engine. */
function start(): { child: ChildProcess; port: Promise<number> } {
  const child = spawn(executable, ["127.0.0.1:1"], { stdio: ["ignore", "pipe", "inherit"] });
  return { child, port: firstLine(child).then(Number) };
}

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return line;
}

describe("the provider's process, compiled", function () {
  this.timeout(60_000);

  it("start => its port as the first line within half a second, at the best of ten tries on a busy machine", async () => {
    const times: number[] = [];
    for (let attempt = 0; attempt < 10; attempt += 1) {
      const begun = performance.now();
      const { child, port } = start();
      assert.ok((await port) > 0);
      times.push(performance.now() - begun);
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    assert.ok(Math.min(...times) < 500, `ms: ${times.map(Math.round).join(" ")}`);
  });

  it("GetPluginInfo and GetSchema => the package's version in both", async () => {
    const { child, port } = start();
    const client = connectUnary(`127.0.0.1:${await port}`);
    const version = (await client.call(ResourceProviderService.getPluginInfo, new Empty())).getVersion();
    const schema = (await client.call(ResourceProviderService.getSchema, new GetSchemaRequest())).getSchema();
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.equal((JSON.parse(schema) as { version: string }).version, version);
    client.close();
    child.kill("SIGINT");
    assert.deepEqual(await once(child, "exit"), [0, null]);
  });

  it("its parent is killed and can tell nobody => it ends by itself", async () => {
    const script = `
      const child = require("node:child_process").spawn(${JSON.stringify(executable)}, ["127.0.0.1:1"], { stdio: ["ignore", "pipe", "inherit"], detached: true });
      child.stdout.once("data", () => process.stdout.write(child.pid + "\\n"));`;
    const parent = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const pid = Number(await firstLine(parent));
    parent.kill("SIGKILL");
    await once(parent, "exit");
    const gone = () => {
      try {
        process.kill(pid, 0);
        return false;
      } catch {
        return true;
      }
    };
    const deadline = Date.now() + 15_000;
    while (!gone() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(gone(), `process ${pid} outlives its parent`);
  });
});
