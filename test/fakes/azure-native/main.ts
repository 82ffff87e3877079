/**
 * A stand-in for Pulumi's azure-native plugin, whose real one can't be had here. Pulumi starts it as it starts the real one: by
 * the name `pulumi-resource-azure-native`, from the folder that `plugins.providers[].path` names or from PATH. It has no model of
 * its own: what it is asked for becomes requests to ARM, over HTTPS and with a token, and so goes through the REST door.
 */

import { whenParentEnds } from "../../../provider/parent-process";
import { startProviderServer } from "../../../provider/provider-server";
import { createSession } from "../../../provider/session";
import { createProviderMethods } from "./provider-methods";

async function main(): Promise<void> {
  const parent = process.ppid;
  const session = createSession(process.argv.slice(2).find((argument) => /^[\w.-]+:\d+$/.test(argument)));
  const server = await startProviderServer(session, createProviderMethods(session));
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
