/** Virtual machines, which programs here only look at: for whom a machine's identity is. A test puts one there by `store`. */
import { ArmError } from "../arm-error";
import type { ArmType } from "../arm-type";
import { flat, json, object, oneOf, readOnly, text } from "../shape";
import { tracked } from "./common";

export const virtualMachines: ArmType = {
  type: "Microsoft.Compute/virtualMachines",
  apiVersions: ["2024-03-01", "2024-07-01", "2024-11-01", "2025-04-01"],
  shape: object({
    ...tracked,
    identity: object({
      type: oneOf("SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned", "None"),
      principalId: readOnly(text()),
      tenantId: readOnly(text()),
      userAssignedIdentities: { kind: "map", of: json(), sdkList: true },
    }),
    properties: flat(object({ hardwareProfile: json(), vmId: readOnly(text()), provisioningState: readOnly(text()) })),
  }),
  put: () => {
    throw new ArmError(
      405,
      "MethodNotAllowed",
      "This model makes no virtual machines; a test puts one there by store().",
    );
  },
};
