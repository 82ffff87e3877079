/** The worker thread behind Construct: the SDK's provider server with our components. Nothing else loads them. */
import * as pulumi from "@pulumi/pulumi";
import { constructTypes } from "./construct-types";

const provider: pulumi.provider.Provider = {
  version: "",
  async construct(name, type, inputs, options) {
    const known = constructTypes[type];
    if (known === undefined) throw new Error(`there is no component type ${type}`);
    // A component checks its inputs itself: a program in another language may have sent anything.
    const component = new known.make(name, inputs as never, options);
    const fields = component as unknown as Readonly<Record<string, unknown>>;
    return { urn: component.urn, state: Object.fromEntries(known.outputs.map((output) => [output, fields[output]])) };
  },
};

void pulumi.provider.main(provider, process.argv.slice(2));
