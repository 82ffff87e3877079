/** What every stand-in for a Pulumi plugin answers alike: it is there, it goes away, and another configuration is no difference. */
import { type PluginAttach, PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import {
  ConfigureResponse,
  DiffResponse,
  type ProviderHandshakeRequest,
  ProviderHandshakeResponse,
} from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { Session } from "../../provider/session";

export function pluginMethods(session: Session) {
  return {
    async handshake(request: ProviderHandshakeRequest) {
      session.connect(request.getEngineAddress());
      const response = new ProviderHandshakeResponse();
      response.setAcceptSecrets(true);
      response.setAcceptResources(true);
      return response;
    },
    async attach(request: PluginAttach) {
      session.connect(request.getAddress());
      return new Empty();
    },
    async diffConfig() {
      const response = new DiffResponse();
      response.setChanges(DiffResponse.DiffChanges.DIFF_NONE);
      return response;
    },
    async configure() {
      return configured();
    },
    async getPluginInfo() {
      const info = new PluginInfo();
      // Greater than any SDK asks for: the CLI warns about a smaller one.
      info.setVersion("99.0.0");
      return info;
    },
    async cancel() {
      session.cancel();
      return new Empty();
    },
  };
}

/** The answer to a configuration. */
export function configured(): ConfigureResponse {
  const response = new ConfigureResponse();
  response.setAcceptsecrets(true);
  response.setAcceptresources(true);
  response.setSupportspreview(true);
  return response;
}
