/** A version may be undeclared only when nothing needs its key: nobody could rebuild a reader for it any more. */
import { possibleKeyIds } from "../../core/key-ids";
import { canonicalKey } from "../../core/key-reference";
import type { Observation } from "../../rotation/observation";
import type { CheckProblem } from "../resource";
import type { DeclaredKey } from "./declared-key";
import { encryptsWith, possibleProviders, providersOf } from "./key-providers";

/** Problems with the keys that `before` declares and `now` does not, by what is stored and loaded now. */
export function undeclaredKeyProblems(
  before: readonly DeclaredKey[],
  now: readonly DeclaredKey[],
  observed: Pick<Observation, "servers" | "stored">,
): readonly CheckProblem[] {
  const declared = new Set(now.map((key) => canonicalKey(key.key)));
  return before
    .filter((key) => !declared.has(canonicalKey(key.key)))
    .flatMap((key): CheckProblem[] => {
      const need = needOf(key, observed);
      if (need === undefined) return [];
      const remedy = `keep version ${key.version} declared until a rollout to another version has ended (in KmsEtcdEncryption, oldestKeyVersion to newestKeyVersion are declared)`;
      return [{ path: "keys", reason: `leaves out version ${key.version}, but ${need}; ${remedy}` }];
    });
}

/** Names that core/provider-name.ts makes. */
const ownProvider = /^kms\/v2\/kms-etcd-[0-9a-f]{12}$/;

/**
 * What to say about objects under keys of ours that are not declared: after a kill the state may not know the newest version
 * yet. The engine reads them by what the configurations name, so it is no reason to refuse.
 */
export function undeclaredInUse(
  now: readonly DeclaredKey[],
  observed: Pick<Observation, "servers" | "stored">,
): readonly string[] {
  const resources = observed.stored?.resources ?? [];
  return resources.flatMap((entry) => {
    const declared = new Set(now.flatMap((key) => [...possibleProviders(observed.servers, key, entry.resource)]));
    return entry.keys
      .filter(({ key, objects }) => objects > 0 && ownProvider.test(key.provider) && !declared.has(key.provider))
      .map(
        ({ key, objects }) =>
          `${objects} stored ${objects === 1 ? "object uses" : "objects use"} ${key.provider}, which is none of the declared keys; if it is a version of yours, declare it (newestKeyVersion and oldestKeyVersion of KmsEtcdEncryption) until the rollout has ended`,
      );
  });
}

function needOf(key: DeclaredKey, observed: Pick<Observation, "servers" | "stored">): string | undefined {
  if (encryptsWith(observed.servers, key)) return "an API server encrypts with its key";
  if (observed.stored === undefined) return "what is stored could not be counted now, so objects may need its key";
  const providers = providersOf(observed.servers, key);
  const keyIds = possibleKeyIds(key.key);
  const objects = observed.stored.resources
    .flatMap((entry) => entry.keys)
    .filter((counted) => providers.has(counted.key.provider) || keyIds.has(counted.key.keyId ?? ""))
    .reduce((sum, counted) => sum + counted.objects, 0);
  if (objects > 0) return `${objects} stored ${objects === 1 ? "object needs" : "objects need"} its key`;
  const unread = observed.stored.resources.reduce((sum, entry) => sum + entry.unknown, 0);
  return unread > 0 ? `${unread} stored values could not be understood, so they may need its key` : undefined;
}
