/** The licences of everything that the image redistributes, in one text. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BundledPackage } from "./bundle";
import type { DebianPackage } from "./debian-libraries";

export async function licenseTexts(
  project: string,
  nodeLicense: string,
  npm: readonly BundledPackage[],
  debian: readonly DebianPackage[],
): Promise<string> {
  const sections = [
    section("kms-etcd-plugin", await readFile(join(project, "LICENSE"), "utf8").catch(() => "Apache-2.0\n")),
    section("Node.js", nodeLicense),
    ...npm.map(({ name, version, licenseText }) => section(`${name} ${version}`, licenseText)),
    ...debian.map(({ name, version, copyright }) => section(`${name} ${version} (Debian)`, copyright)),
  ];
  return sections.join("\n");
}

function section(title: string, text: string): string {
  return `${"=".repeat(80)}\n${title}\n${"=".repeat(80)}\n${text.trimEnd()}\n`;
}
