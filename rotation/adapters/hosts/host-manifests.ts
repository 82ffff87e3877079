/** What a host's kubelet runs, or what its systemd has as units. */
import { join } from "node:path";
import type { FleetHost } from "./fleet-host";
import { type Manifest, parseManifest } from "./manifest";
import { parseUnit } from "./plugin-unit";

/** A file there, and what it has run. */
export interface DefinitionFile {
  readonly fileName: string;
  readonly text: string;
  readonly modifiedAt: number;
  readonly manifest: Manifest;
}

type Place = Pick<FleetHost, "host" | "manifestDirectory" | "systemd">;

/** Files that are no Pods, and hidden ones, are none to a kubelet either; systemd takes files by their ending. */
export async function definitionFiles({ host, manifestDirectory, systemd }: Place): Promise<readonly DefinitionFile[]> {
  const names = (await host.listFiles(manifestDirectory)).filter((name) => !name.startsWith("."));
  const wanted = systemd === undefined ? names : names.filter((name) => name.endsWith(".service"));
  const found = await Promise.all(
    wanted.map(async (fileName) => {
      const file = await host.readFile(join(manifestDirectory, fileName));
      const text = file?.bytes.toString("utf8") ?? "";
      const manifest = systemd === undefined ? parseManifest(text) : parseUnit(fileName, text);
      return file === undefined || manifest === undefined
        ? []
        : [{ fileName, text, modifiedAt: file.modifiedAt, manifest }];
    }),
  );
  return found.flat();
}
