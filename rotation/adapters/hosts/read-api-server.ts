/** Reads what makes a host run its API server, and puts a changed one into force. */
import { join } from "node:path";
import type { ApiServerDefinition } from "./api-server-definition";
import { withRestartRequest } from "./api-server-manifest";
import { apiServerSetUp, withApiServerSetUp } from "./api-server-setup";
import { readApiServerUnit } from "./api-server-unit";
import type { FleetHost } from "./fleet-host";
import { parseManifest } from "./manifest";

export type DefinedAt = Pick<FleetHost, "host" | "manifestDirectory" | "apiServerManifest" | "systemd">;

/** Undefined where there is none. */
export async function apiServerDefinition(at: DefinedAt): Promise<ApiServerDefinition | undefined> {
  if (at.systemd !== undefined) return readApiServerUnit(at.host, at.systemd);
  const { host, manifestDirectory, apiServerManifest } = at;
  const path = join(manifestDirectory, apiServerManifest);
  const file = await host.readFile(path);
  const text = file?.bytes.toString("utf8") ?? "";
  const manifest = parseManifest(text);
  if (file === undefined || manifest === undefined) return undefined;
  return {
    manifest,
    label: apiServerManifest,
    path,
    bytes: file.bytes,
    writtenAt: file.modifiedAt,
    modifiedAt: file.modifiedAt,
    restarting: undefined,
    trouble: undefined,
    refusal: undefined,
    setUp: (paths, reloads) => apiServerSetUp(manifest, paths, reloads),
    edited: (request, setUp) =>
      withRestartRequest(setUp === undefined ? text : withApiServerSetUp(text, setUp.paths, setUp.reloads), request),
  };
}

/** Puts a definition that was written into force. A kubelet needs no asking. */
export async function applyDefinition({ systemd }: Pick<FleetHost, "systemd">): Promise<void> {
  if (systemd === undefined) return;
  await systemd.control.reload();
  await systemd.control.restart(systemd.apiServerUnit);
}

/** What messages say where there is none. */
export function noDefinition({ manifestDirectory, apiServerManifest, systemd }: Omit<DefinedAt, "host">): string {
  return systemd === undefined
    ? `${manifestDirectory}/${apiServerManifest} is not there, or no Pod`
    : `systemd has no unit ${systemd.apiServerUnit}`;
}
