/**
 * Who may do what: role assignments, each effective only after a delay, as Azure's own caches make it. Removing one takes as
 * long. facts/aks.md 5.2: there is no signal in ARM that says that an assignment has arrived, so a client must probe.
 */
import { isWithin } from "./resource-id";
import { findRole, type Role, roleAllows } from "./roles";

export interface Assignment {
  readonly id: string;
  readonly principalId: string;
  readonly roleId: string;
  readonly scope: string;
}

export interface Access {
  /** How long an assignment takes to become effective, and to cease. */
  delayMs: number;
  assign(assignment: Assignment): void;
  remove(id: string): void;
  /** At once, as what was there long before. */
  grant(principalId: string, role: Role, scope: string): void;
  isAllowed(principalId: string, action: string, scope: string, plane?: "control" | "data"): boolean;
}

export function createAccess(now: () => number): Access {
  const entries: { readonly assignment: Assignment; readonly from: number; until: number }[] = [];
  const access: Access = {
    delayMs: 0,
    assign: (assignment) => void entries.push({ assignment, from: now() + access.delayMs, until: Infinity }),
    remove(id) {
      for (const entry of entries) {
        if (entry.assignment.id === id && entry.until === Infinity) entry.until = now() + access.delayMs;
      }
    },
    grant(principalId, role, scope) {
      entries.push({ assignment: { id: "", principalId, roleId: role.id, scope }, from: 0, until: Infinity });
    },
    isAllowed(principalId, action, scope, plane = "control") {
      const moment = now();
      return entries.some(({ assignment, from, until }) => {
        if (moment < from || moment >= until || assignment.principalId !== principalId) return false;
        const role = findRole(assignment.roleId);
        return role !== undefined && isWithin(scope, assignment.scope) && roleAllows(role, action, plane);
      });
    },
  };
  return access;
}
