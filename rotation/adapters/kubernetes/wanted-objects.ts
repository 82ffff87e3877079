/** What of the served resources a rewrite has to list, and which of the listed objects it has to offer. */
import type { RewriteScope } from "../../rewrite-scope";
import type { ListedObject } from "./paged-list";
import type { ServedResource } from "./resources";

export interface WantedObjects {
  readonly resources: readonly ServedResource[];
  readonly isWanted: (object: ListedObject) => boolean;
}

/** `served`: by target. Without a scope everything is wanted. */
export function wantedOf(
  served: ReadonlyMap<string, readonly ServedResource[]>,
  scope: RewriteScope = { staleUpTo: new Map() },
): WantedObjects {
  const limits = new Map<string, number>();
  for (const [target, resources] of served) {
    const limit = scope.staleUpTo.get(target) ?? Number.POSITIVE_INFINITY;
    // A resource that stands below two names may be stale by either.
    for (const { name } of resources) limits.set(name, Math.max(limits.get(name) ?? 0, limit));
  }
  const limitOf = (resource: ServedResource) => limits.get(resource.name) ?? Number.POSITIVE_INFINITY;
  const refused = scope.refused && new Set(scope.refused.map(nameOf));
  return {
    resources: [...new Set([...served.values()].flat())].filter((resource) => limitOf(resource) > 0),
    isWanted: (object) => {
      const limit = limitOf(object.resource);
      if (limit === Number.POSITIVE_INFINITY)
        return refused?.has(nameOf({ ...object, resource: object.resource.name })) ?? true;
      // Not "at most": a version that is no number says nothing, so the object is offered.
      return !(Number(object.resourceVersion) > limit);
    },
  };
}

function nameOf({ resource, namespace, name }: { resource: string; namespace: string; name: string }): string {
  return `${resource} ${namespace}/${name}`;
}
