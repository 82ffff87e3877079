/** What exists, by path. */
import { randomUUID } from "node:crypto";
import type { ArmType, StoredResource } from "./arm-type";
import { isWithin, type ResourceId, samePath } from "./resource-id";
import type { JsonObject } from "./shape";

export interface ResourceStore {
  find(path: string): StoredResource | undefined;
  list(type: string, within: string): readonly StoredResource[];
  /** Of a type that stands on other resources: those on a scope and above it, and those below it too unless `atScope`. */
  onScope(type: string, scope: string, atScope: boolean): readonly StoredResource[];
  put(id: ResourceId, type: ArmType, body: JsonObject): StoredResource;
  /** Takes away what is at the path, below it and on it, and gives that back. */
  remove(path: string): readonly StoredResource[];
}

export function createResourceStore(): ResourceStore {
  const resources = new Map<string, StoredResource>();
  const ofType = (type: string) =>
    [...resources.values()].filter((resource) => resource.type.type.toLowerCase() === type.toLowerCase());
  return {
    find: (path) => resources.get(path.toLowerCase()),
    list: (type, within) => ofType(type).filter(({ path }) => within === "/" || isWithin(path, within)),
    onScope: (type, scope, atScope) =>
      ofType(type).filter(
        ({ id }) =>
          isWithin(scope, id.parent) || (!atScope && isWithin(id.parent, scope)) || samePath(scope, id.parent),
      ),
    put(id, type, body) {
      const known = resources.get(id.path.toLowerCase());
      if (known !== undefined) {
        known.body = body;
        known.etag = randomUUID();
        return known;
      }
      const resource: StoredResource = {
        path: id.path,
        id,
        type,
        body,
        etag: randomUUID(),
        busy: undefined,
        memory: {},
      };
      resources.set(id.path.toLowerCase(), resource);
      return resource;
    },
    remove(path) {
      const gone = [...resources].filter(([key]) => isWithin(key, path));
      for (const [key] of gone) resources.delete(key);
      return gone.map(([, resource]) => resource);
    },
  };
}
