/**
 * A stand-in for Pulumi's azure-native plugin, whose real one can't be had here. Pulumi starts it as it starts the real one: by
 * the name `pulumi-resource-azure-native`, from the folder that `plugins.providers[].path` names or from PATH. It has no model of
 * its own: what it is asked for becomes requests to ARM, over HTTPS and with a token, and so goes through the REST door.
 */
import { runProviderProcess } from "../../../provider/provider-process";
import { startProviderServer } from "../../../provider/provider-server";
import { createSession } from "../../../provider/session";
import { createProviderMethods } from "./provider-methods";

runProviderProcess((engineAddress) => {
  const session = createSession(engineAddress);
  return startProviderServer(session, createProviderMethods(session));
});
