/** The worker thread behind Construct: the SDK's provider server with our components. The only file that loads them. */
import * as pulumi from "@pulumi/pulumi";
import { KmsEtcdEncryption, type KmsEtcdEncryptionArgs } from "../components";
import { typeTokens } from "../core/type-tokens";

const provider: pulumi.provider.Provider = {
  version: "",
  async construct(name, type, inputs, options) {
    if (type !== typeTokens.kmsEtcdEncryption) throw new Error(`there is no component type ${type}`);
    // The component checks its inputs itself: a program in another language may have sent anything.
    const component = new KmsEtcdEncryption(name, inputs as unknown as KmsEtcdEncryptionArgs, options);
    return {
      urn: component.urn,
      state: {
        activeKeyVersion: component.activeKeyVersion,
        atGoal: component.atGoal,
        evidence: component.evidence,
      },
    };
  },
};

void pulumi.provider.main(provider, process.argv.slice(2));
