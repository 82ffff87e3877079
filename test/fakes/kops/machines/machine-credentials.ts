/** What a control-plane machine's API server is given of kOps' keysets when it boots, and an administrator of that machine. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ApiServerFiles } from "../../../../control-plane/pki/control-plane-pki";
import { type KopsAuthority, kubernetesCa } from "./kops-authority";
import type { MachineKind } from "./kops-machine";
import type { NodeupConfig } from "./machine-pods";

interface MachineCredentials {
  readonly files: ApiServerFiles;
  readonly tls: MachineKind["tls"];
}

/**
 * As nodeup lays them out (kops nodeup/pkg/model/kube_apiserver.go): a server certificate by the keypair that is named, every CA that is to be
 * trusted for clients, the service accounts' public keys, and the private one that signs tokens. etcd's are not of these keysets.
 */
export async function machineCredentials(
  authority: KopsAuthority,
  { CAs, KeypairIDs, APIServerConfig }: NodeupConfig,
  { address, directory }: { readonly address: string; readonly directory: string },
  { files, tls }: Pick<MachineKind, "files" | "tls">,
): Promise<MachineCredentials> {
  const folder = join(directory, "pki");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const put = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const id = KeypairIDs?.[kubernetesCa];
  const trusted = CAs?.[kubernetesCa] ?? "";
  const server = await authority.issue(id, {
    commonName: "kubernetes-master",
    dnsNames: [tls.servername, "kubernetes"],
    ipAddresses: ["127.0.0.1", address],
  });
  const admin = await authority.issue(id, { commonName: "tests", organization: "system:masters" });
  const signing = await authority.privateKey("service-account", KeypairIDs?.["service-account"]);
  return {
    files: {
      ...files,
      serving: {
        certFile: put("server.crt", server.cert),
        keyFile: put("server.key", server.key),
        clientCaFile: put("ca.crt", trusted),
      },
      serviceAccountPublicKeyFile: put("service-account.pub", APIServerConfig?.ServiceAccountPublicKeys ?? ""),
      serviceAccountPrivateKeyFile: put("service-account.key", signing),
    },
    // Of the machine alone: who looks at it from outside is in no rotation's way.
    tls: { ...tls, ca: trusted, ...admin },
  };
}
