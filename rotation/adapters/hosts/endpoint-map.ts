/**
 * Plugins' endpoints as the engine sees them and as a host's file has them. The engine compares the configurations of several
 * hosts, so one plugin has one endpoint there; hosts that share a machine keep their sockets in a directory each.
 */
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { mapEndpoints } from "./encryption-config-file";

export interface EndpointMap {
  toHost(config: EncryptionConfiguration): EncryptionConfiguration;
  toModel(config: EncryptionConfiguration): EncryptionConfiguration;
  endpointToModel(endpoint: string): string;
}

/** Both directories are absolute; where they are the same, nothing is changed. */
export function endpointMap(modelDirectory: string, hostDirectory: string): EndpointMap {
  const change = (from: string, to: string) => (endpoint: string) =>
    endpoint.startsWith(`unix://${from}/`) ? `unix://${to}/${endpoint.slice(`unix://${from}/`.length)}` : endpoint;
  return {
    toHost: (config) => mapEndpoints(config, change(modelDirectory, hostDirectory)),
    toModel: (config) => mapEndpoints(config, change(hostDirectory, modelDirectory)),
    endpointToModel: change(hostDirectory, modelDirectory),
  };
}
