/** Resource groups: what nearly everything else is in, and goes with. */
import { ArmError } from "../arm-error";
import type { ArmType } from "../arm-type";
import { resourceGroupType } from "../resource-id";
import { immutable, object, readOnly, text } from "../shape";
import { regionOf, tracked } from "./common";

export const resourceGroups: ArmType = {
  type: resourceGroupType,
  apiVersions: ["2021-04-01", "2022-09-01", "2024-03-01", "2024-11-01", "2025-04-01"],
  name: /^[-\w._()]{1,90}(?<!\.)$/,
  longRunning: true,
  patchTags: true,
  shape: object({
    ...tracked,
    managedBy: immutable(text()),
    properties: readOnly(object({ provisioningState: readOnly(text()) })),
  }),
  put: ({ body, before }) => {
    const location = regionOf(resourceGroupType, body["location"]);
    if (before !== undefined && before.body["location"] !== location) {
      throw new ArmError(409, "InvalidResourceGroupLocation", `Invalid resource group location '${location}'.`);
    }
    return { body: { ...body, location } };
  },
};
