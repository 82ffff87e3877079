/** `npm run stop`: ends the example's control plane and removes all that `npm start` has made in the checkout. */
import { rm } from "node:fs/promises";
import { cleanControlPlane } from "../../control-plane/stop-control-plane";
import { session } from "./session";

async function main(): Promise<void> {
  await cleanControlPlane(session.controlPlane, { report: (line) => process.stdout.write(`${line}\n`) });
  for (const directory of [session.pulumiHome, session.pulumiBackend, session.keys]) {
    await rm(directory, { recursive: true, force: true });
  }
  await rm(`${session.project}/Pulumi.local.yaml`, { force: true });
  process.stdout.write("stopped and removed: control plane, Pulumi backend, local keys\n");
}

main().catch((thrown: unknown) => {
  process.stderr.write(`error: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 1;
});
