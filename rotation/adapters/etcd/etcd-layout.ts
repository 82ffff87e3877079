/** Where API servers keep things: --etcd-prefix, and --etcd-servers-overrides, by which a resource has an etcd of its own. */
import { KmsEtcdError } from "../../../core/errors";

export interface EtcdLayout {
  /** --etcd-prefix. */
  readonly prefix: string;
  readonly overrides: readonly EtcdOverride[];
}

export interface EtcdOverride {
  /** As an EncryptionConfiguration names it: `events`, `deployments.apps`. */
  readonly resource: string;
  /** With the API servers' certificates, as with --etcd-servers. */
  readonly endpoints: readonly string[];
}

/** Kubernetes' own. */
export const defaultLayout: EtcdLayout = { prefix: "/registry", overrides: [] };

/**
 * The value of --etcd-servers-overrides: `group/resource#server;server`, separated by commas; the core group is empty
 * (apiserver pkg/server/options/etcd.go, read at v0.36.3). Throws `invalid-input`.
 */
export function parseEtcdOverrides(value: string): readonly EtcdOverride[] {
  return value
    .split(",")
    .filter((entry) => entry.trim() !== "")
    .map((entry) => {
      const [, group = "", plural = "", servers = ""] = /^\s*([^/#]*)\/([^/#]+)#(.+)$/.exec(entry) ?? [];
      const endpoints = servers
        .split(";")
        .map((server) => server.trim())
        .filter((server) => server !== "");
      if (plural === "" || endpoints.length === 0) {
        throw new KmsEtcdError("invalid-input", `--etcd-servers-overrides has "${entry}"`, {
          remedy: "write group/resource#https://host:port;https://host:port, with an empty group for the core one",
        });
      }
      return { resource: group === "" ? plural : `${plural}.${group}`, endpoints };
    });
}
