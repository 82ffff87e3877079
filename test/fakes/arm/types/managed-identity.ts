/** User-assigned managed identities. Their principal is new to the directory, and seen by role assignments only after a while. */
import { randomUUID } from "node:crypto";
import type { ArmType } from "../arm-type";
import { flat, object, readOnly, text, textAt } from "../shape";
import { propertiesOf, regionOf, tracked } from "./common";

const type = "Microsoft.ManagedIdentity/userAssignedIdentities";

export const userAssignedIdentities: ArmType = {
  type,
  apiVersions: ["2023-01-31", "2024-11-30"],
  name: /^[a-zA-Z0-9][-\w]{2,127}$/,
  patchTags: true,
  shape: object({
    ...tracked,
    properties: flat(object({ tenantId: readOnly(text()), principalId: readOnly(text()), clientId: readOnly(text()) })),
  }),
  put({ body, before, world, id }) {
    const location = regionOf(type, body["location"]);
    const known = propertiesOf(before);
    if (before !== undefined) return { body: { ...body, location, properties: known } };
    const principalId = randomUUID();
    world.directory.add(principalId, "ServicePrincipal");
    const properties = { tenantId: world.tenantOf(id.subscription), principalId, clientId: randomUUID() };
    return { body: { ...body, location, properties } };
  },
  removed: (resource, world) => world.directory.remove(textAt(resource.body, "properties", "principalId")),
};
