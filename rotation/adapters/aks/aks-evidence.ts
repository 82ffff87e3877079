/** What can be shown of a cluster of AKS: counts, what ARM says, and what can't be seen there. It claims no more than was seen. */
import { createHash } from "node:crypto";
import type { KmsSettings } from "./kms-settings";
import { kubernetesVersionOf } from "./kubernetes-version";
import type { ManagedClusterState } from "./managed-cluster";
import { plaintext, writerOf } from "./next-leg";
import type { Rewritten } from "./rewrite-secrets";

export interface AksEvidence {
  readonly resources: readonly {
    readonly resource: string;
    readonly objects: number;
    readonly keys: readonly { readonly provider: string; readonly keyId?: string; readonly objects: number }[];
    readonly unknown: number;
  }[];
  readonly servers: readonly {
    readonly name: string;
    readonly version: string;
    readonly loadedHash: string;
    readonly basis: string;
  }[];
  /** `api`: every Secret was offered for a no-op write. `platform`: AKS writes them again, and nothing was measured. */
  readonly method: "api" | "platform";
  readonly discovery: string;
  /** ISO time. */
  readonly provenAt: string;
  /** Every Secret is stored under the key. Never said of what the platform does by itself. */
  readonly complete: boolean;
  /** SHA-256 over everything but the time. */
  readonly digest: string;
}

/** AKS's own name for what it writes with; what stands in stored values can't be seen. */
const provider = "azureKeyVaultKms";

export function aksEvidence(state: ManagedClusterState, rewritten: Rewritten | undefined, at: number): AksEvidence {
  const { name } = state.body;
  const facts = {
    resources: rewritten === undefined ? [] : [secretsUnder(state.kms, rewritten)],
    servers: [
      {
        name: typeof name === "string" ? name : "",
        version: kubernetesVersionOf(state),
        loadedHash: "",
        basis: `ARM: provisioningState ${state.provisioningState}, ${described(state.kms)}`,
      },
    ],
    method: rewritten === undefined ? ("platform" as const) : ("api" as const),
    discovery: rewritten === undefined ? byPlatform : byApi(rewritten),
    complete: rewritten !== undefined,
  };
  const digest = createHash("sha256").update(JSON.stringify(facts)).digest("hex");
  return { ...facts, provenAt: new Date(at).toISOString(), digest: `sha256:${digest}` };
}

const byPlatform =
  "AKS follows the key and writes Secrets again by itself; what is stored under which key can't be seen from outside, and nothing was measured";

/** Nothing in it may change while the result does not: how many passes it took is no part of it. */
function byApi({ objects, storedAgainLast }: Rewritten): string {
  const rest =
    storedAgainLast === 0
      ? "left as they are by the last pass"
      : `left as they are by the last pass but for ${storedAgainLast} that it stored again, taken for changes of clients`;
  return [
    `all ${objects} Secrets were offered for a no-op write, and ${rest}`,
    "AKS's API servers stand behind one address, so which of them answered was not seen: that all write with this key is ARM's word",
    "there is no way to the etcd of AKS, so stored bytes were not seen",
  ].join("; ");
}

function secretsUnder(kms: KmsSettings, { objects }: Rewritten): AksEvidence["resources"][number] {
  const under = writerOf(kms);
  const key =
    under === undefined || under === plaintext
      ? { provider: "identity", objects }
      : { provider, keyId: under, objects };
  return { resource: "secrets", objects, keys: objects === 0 ? [] : [key], unknown: 0 };
}

function described(kms: KmsSettings): string {
  switch (kms.mode) {
    case "off":
      return "KMS off";
    case "pmk":
      return "KMS data encryption with a platform-managed key";
    case "cmk":
      return `KMS data encryption with ${kms.keyId}`;
    case "legacy":
      return `KMS plugin with ${kms.keyId}, vault ${kms.networkAccess}`;
  }
}
