/** The engine of kOps' credentials, loaded when a resource first needs it: the provider answers Pulumi's first question without it. */
import type * as expiryModule from "../../rotation/adapters/kops-credentials/client-certificate-expiry";
import type * as openCredentialsModule from "../../rotation/adapters/kops-credentials/open-credentials";
import type * as predictModule from "../../rotation/adapters/kops-credentials/predict-steps";
import type * as runModule from "../../rotation/adapters/kops-credentials/run-credentials";

export type CredentialEngine = Pick<typeof openCredentialsModule, "openKeypairs" | "openSecret"> &
  Pick<typeof predictModule, "predictSteps"> &
  Pick<typeof runModule, "runCredentials"> &
  Pick<typeof expiryModule, "clientCertificateExpiry">;

/* eslint-disable @typescript-eslint/no-require-imports -- imports at the top would be paid for by every start */
export function loadCredentialEngine(): CredentialEngine {
  const { clientCertificateExpiry } =
    require("../../rotation/adapters/kops-credentials/client-certificate-expiry") as typeof expiryModule;
  const { openKeypairs, openSecret } =
    require("../../rotation/adapters/kops-credentials/open-credentials") as typeof openCredentialsModule;
  const { predictSteps } = require("../../rotation/adapters/kops-credentials/predict-steps") as typeof predictModule;
  const { runCredentials } = require("../../rotation/adapters/kops-credentials/run-credentials") as typeof runModule;
  return { openKeypairs, openSecret, predictSteps, runCredentials, clientCertificateExpiry };
}
