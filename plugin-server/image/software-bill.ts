/** The software bill of materials, in CycloneDX 1.6: what is in the image, by package URL. */
import { createHash } from "node:crypto";
import type { BuildVersion } from "../version";
import type { Architecture } from "./architecture";
import type { BundledPackage } from "./bundle";
import type { DebianPackage } from "./debian-libraries";

export interface ImageContents {
  readonly architecture: Architecture;
  readonly version: BuildVersion;
  readonly npm: readonly BundledPackage[];
  readonly debian: readonly DebianPackage[];
}

export function softwareBill({ architecture, version, npm, debian }: ImageContents): string {
  const { node } = architecture;
  const components = [
    component("npm", node.package, node.version, "MIT"),
    ...npm.map(({ name, version: packageVersion, license }) => component("npm", name, packageVersion, license)),
    ...debian.map(({ name, version: packageVersion }) =>
      component("deb/debian", name, packageVersion, undefined, `?arch=${architecture.name}`),
    ),
  ].sort((a, b) => (a.purl < b.purl ? -1 : 1));
  const subject = {
    type: "container",
    name: "kms-etcd-plugin",
    version: version.version,
    "bom-ref": "kms-etcd-plugin",
  };
  return `${JSON.stringify(
    {
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      serialNumber: `urn:uuid:${uuidOf(JSON.stringify([subject, components]))}`,
      version: 1,
      metadata: { ...(version.date === "" ? {} : { timestamp: version.date }), component: subject },
      components,
      dependencies: [{ ref: "kms-etcd-plugin", dependsOn: components.map(({ purl }) => purl) }],
    },
    undefined,
    1,
  )}\n`;
}

function component(type: string, name: string, version: string, license?: string, qualifiers = "") {
  // purl-spec: the "@" of a scope is percent-encoded, its "/" is not; a version's ":" and "+" are.
  const purl = `pkg:${type}/${name.replace(/^@/, "%40")}@${encodeURIComponent(version)}${qualifiers}`;
  const licenses =
    license === undefined || license === "" ? {} : { licenses: [{ expression: license.replace(/^\((.*)\)$/, "$1") }] };
  return { type: "library", "bom-ref": purl, name, version, purl, ...licenses };
}

/** The same for the same contents, as a reproducible image needs it. */
function uuidOf(contents: string): string {
  const hex = createHash("sha256").update(contents).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
