/** A refusal as ARM and its resource providers word it: status, code and message in a body of their form. */
import type { Json } from "./shape";

export class ArmError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = "ArmError";
    this.status = status;
    this.code = code;
    this.headers = headers;
  }

  /** AKS answers without the `error` object around it; ARM itself and the other providers with it. */
  body(bare = false): Json {
    return bare
      ? { code: this.code, details: null, message: this.message, subcode: "" }
      : { error: { code: this.code, message: this.message } };
  }
}

export function authorizationFailed(objectId: string, clientId: string, action: string, scope: string): ArmError {
  return new ArmError(
    403,
    "AuthorizationFailed",
    `The client '${clientId}' with object id '${objectId}' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
  );
}

/** The caller may write the resource, but not use another one that it names. */
export function linkedAuthorizationFailed(
  objectId: string,
  clientId: string,
  action: string,
  scope: string,
  linkedAction: string,
  linkedScope: string,
): ArmError {
  return new ArmError(
    403,
    "LinkedAuthorizationFailed",
    `The client '${clientId}' with object id '${objectId}' has permission to perform action '${action}' on scope '${scope}'; however, it does not have permission to perform action(s) '${linkedAction}' on the linked scope(s) '${linkedScope}' (respectively) or the linked scope(s) are invalid.`,
  );
}

export function resourceNotFound(type: string, name: string, group: string): ArmError {
  return new ArmError(
    404,
    "ResourceNotFound",
    `The Resource '${type}/${name}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
  );
}

export function resourceGroupNotFound(group: string): ArmError {
  return new ArmError(404, "ResourceGroupNotFound", `Resource group '${group}' could not be found.`);
}
