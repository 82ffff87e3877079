/** Where the local example keeps what it makes, inside the checkout: a control plane and a Pulumi backend, nothing else. */
import { join } from "node:path";
import { localControlPlaneFile } from "../../core/local-control-plane";
import { projectDirectory } from "../../tools/project-directory";

export const stackName = "local";

const project = projectDirectory();
const base = join(project, ".kms-etcd");

export const session = {
  project,
  controlPlane: join(base, "local"),
  controlPlaneFile: join(base, "local", localControlPlaneFile),
  pulumiHome: join(base, "pulumi-home"),
  pulumiBackend: join(base, "pulumi-backend"),
  keys: join(base, "local-keys"),
} as const;

/** The environment that every `pulumi` call of the example has; `npm start` prints it for the user's own calls. */
export function pulumiEnvironment(): Record<string, string> {
  return {
    PULUMI_HOME: session.pulumiHome,
    PULUMI_BACKEND_URL: `file://${session.pulumiBackend}`,
    // Nothing in the example's stack is secret, and a passphrase of the user's has no business in it.
    PULUMI_CONFIG_PASSPHRASE: "",
    PULUMI_SKIP_UPDATE_CHECK: "1",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "1",
  };
}
