/** AWS' SDK, loaded when a key is first looked at: the provider answers Pulumi's first question without it. */
import type * as sdkKeyAdminModule from "./sdk-key-admin";

/** Gives the same one every time. */
export function lazyAwsKeyAdmin(): () => sdkKeyAdminModule.SdkKeyAdmin {
  let admin: sdkKeyAdminModule.SdkKeyAdmin | undefined;
  return () => {
    admin ??= load();
    return admin;
  };
}

function load(): sdkKeyAdminModule.SdkKeyAdmin {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import at the top would be paid for by every start
  const { createSdkKeyAdmin } = require("./sdk-key-admin") as typeof sdkKeyAdminModule;
  return createSdkKeyAdmin();
}
