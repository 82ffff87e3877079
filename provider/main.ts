/**
 * The provider's process, `pulumi-resource-kms-etcd`: Pulumi starts it, reads the port from its first line, and talks gRPC.
 * It exists so that a rotation is an ordinary resource: planned in preview, carried out by `pulumi up`, seen in the state.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { whenParentEnds } from "./parent-process";
import { startProvider } from "./provider";
import { createLazyRotationEngine } from "./rollout/lazy-rotation-engine";

async function main(): Promise<void> {
  const parent = process.ppid;
  // Of the package, two folders above dist/provider/main.js.
  const packageRoot = join(__dirname, "..", "..");
  const { version } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { version: string };
  const engineAddress = process.argv.slice(2).find((argument) => /^[\w.-]+:\d+$/.test(argument));
  const server = await startProvider({
    ...(engineAddress === undefined ? {} : { engineAddress }),
    engine: createLazyRotationEngine(),
    identity: {
      version,
      async schema() {
        const schema = JSON.parse(await readFile(join(packageRoot, "provider", "schema.json"), "utf8")) as object;
        return JSON.stringify({ ...schema, version });
      },
    },
  });
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    void server.stop().then(() => process.exit(0));
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  whenParentEnds(parent, stop);
  process.stdout.write(`${server.port}\n`);
}

main().catch((thrown: unknown) => {
  process.stderr.write(`${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  process.exitCode = 1;
});
