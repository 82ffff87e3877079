/** A Pulumi program with a PluginImage, and the stand-in for docker's provider. */
import { join } from "node:path";
import { repository } from "./pulumi-project";

/** Folder of the stand-in's executable. */
export const dockerBuildStandIn = join(repository, "test", "fakes", "docker-build");

/** The project's files. Configuration: `context`, `repository` and `password`, or `existingRef`. */
export function imageProgram(dockerBuildProvider: string): Readonly<Record<string, string>> {
  const components = JSON.stringify(join(repository, "dist", "components"));
  return {
    "Pulumi.yaml": JSON.stringify({
      name: "kms-etcd-test",
      main: "index.js",
      runtime: { name: "nodejs", options: { typescript: false } },
      plugins: { providers: [{ name: "docker-build", path: dockerBuildProvider }] },
    }),
    "index.js": `
const pulumi = require("@pulumi/pulumi");
const { ImagePlatform, PluginImage } = require(${components});
const config = new pulumi.Config();
const existingRef = config.get("existingRef");
const image = new PluginImage("plugin", existingRef !== undefined ? { existingRef } : {
  build: {
    context: config.require("context"),
    repository: config.require("repository"),
    platforms: [ImagePlatform.LinuxAmd64],
    registry: { username: "robot", password: config.requireSecret("password") },
  },
});
exports.ref = image.ref;
`,
  };
}
