/**
 * The provider's process, `pulumi-resource-kms-etcd`: Pulumi starts it, reads the port from its first line, and talks gRPC.
 * It exists so that a rotation is an ordinary resource: planned in preview, carried out by `pulumi up`, seen in the state.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startProvider } from "./provider";
import { runProviderProcess } from "./provider-process";
import { createLazyRotationEngine } from "./rollout/lazy-rotation-engine";

runProviderProcess((engineAddress) => {
  // Of the package, two folders above dist/provider/main.js.
  const packageRoot = join(__dirname, "..", "..");
  const { version } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { version: string };
  return startProvider({
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
});
