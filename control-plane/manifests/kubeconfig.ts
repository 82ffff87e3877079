/** Kubeconfigs for the administrator of a control plane. */
import { stringify } from "yaml";

export interface KubeconfigServer {
  /** Cluster and context name. */
  readonly name: string;
  readonly url: string;
}

/** PEM texts. */
export interface KubeconfigUser {
  readonly ca: string;
  readonly certificate: string;
  readonly privateKey: string;
}

/** One context a server; the first is current. The text holds a private key: write it 0600. */
export function kubeconfig(servers: readonly KubeconfigServer[], user: KubeconfigUser): string {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      "current-context": servers[0]?.name ?? "",
      clusters: servers.map(({ name, url }) => ({
        name,
        cluster: { server: url, "certificate-authority-data": base64(user.ca) },
      })),
      contexts: servers.map(({ name }) => ({ name, context: { cluster: name, user: "admin" } })),
      users: [
        {
          name: "admin",
          user: { "client-certificate-data": base64(user.certificate), "client-key-data": base64(user.privateKey) },
        },
      ],
    },
    { lineWidth: 0 },
  );
}
