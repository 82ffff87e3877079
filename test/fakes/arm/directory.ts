/** Who there is in the tenant. A principal that was just made is not seen by everyone at once. */

export type PrincipalType = "User" | "Group" | "ServicePrincipal";

export interface Directory {
  /** How long a new principal takes to be seen by the service that assigns roles. */
  delayMs: number;
  add(objectId: string, type: PrincipalType): void;
  remove(objectId: string): void;
  /** Undefined when there is none, or none that is seen yet. */
  find(objectId: string): PrincipalType | undefined;
}

export function createDirectory(now: () => number): Directory {
  const principals = new Map<string, { readonly type: PrincipalType; readonly from: number }>();
  const directory: Directory = {
    delayMs: 0,
    add: (objectId, type) => void principals.set(objectId, { type, from: now() + directory.delayMs }),
    remove: (objectId) => void principals.delete(objectId),
    find(objectId) {
      const principal = principals.get(objectId);
      return principal !== undefined && principal.from <= now() ? principal.type : undefined;
    },
  };
  return directory;
}
