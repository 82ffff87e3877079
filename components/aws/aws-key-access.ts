/** What lets the instances of a control plane use keys in AWS KMS: these keys, and nothing more. */
import * as pulumi from "@pulumi/pulumi";
import { useStatements } from "../../core/aws-key-policy";
import { unknownInputViolations } from "../../core/input-rules";
import { keyArnListViolations } from "../../core/key-arn-list";
import { typeTokens } from "../../core/type-tokens";
import { inputError } from "../input-error";
import { isKnownLater } from "../known-later";
import { loadAws } from "./aws-modules";
import { provenKeyArns } from "./proven-key-arns";

/** The inputs of an AwsKeyAccess. */
export interface AwsKeyAccessArgs {
  /** ARNs of the keys that may be used, and no others; at least one. IAM knows no alias, so an alias is refused. */
  readonly keyArns: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Names of IAM roles that get an inline policy, by names of your own. A name is part of the policy's identity. Without roles nothing is
   * made, and `statements` is for a policy of yours: `additionalPolicies` of a kOps cluster, for example.
   */
  readonly roles?: Record<string, pulumi.Input<string>>;
  /** The context that every call must have; the one that the plugins are given. */
  readonly encryptionContext?: Record<string, pulumi.Input<string>>;
  /**
   * Keep Pulumi from taking the roles' leave away by mistake: a control plane without it can't read its Secrets.
   * @default true
   */
  readonly protectGrants?: boolean;
}

const inputNames = ["keyArns", "roles", "encryptionContext", "protectGrants"];

/** Leave to use keys: Encrypt, Decrypt and DescribeKey on exactly these, with the encryption context if there is one. */
export class AwsKeyAccess extends pulumi.ComponentResource {
  /** The policy as JSON, once every role has it. */
  readonly policy: pulumi.Output<string>;
  /** The statements alone, as a JSON list: what kOps wants in `additionalPolicies`. */
  readonly statements: pulumi.Output<string>;

  constructor(name: string, args: AwsKeyAccessArgs, opts?: pulumi.ComponentResourceOptions) {
    const given = args as unknown as Readonly<Record<string, unknown>>;
    const violations = [
      ...unknownInputViolations(given, inputNames),
      ...(given["keyArns"] === undefined
        ? [{ path: "keyArns", reason: "is missing; name the keys' ARNs" }]
        : keyArnListViolations("keyArns", given["keyArns"], isKnownLater)),
    ];
    if (violations.length > 0) throw inputError("AwsKeyAccess", violations);
    super(typeTokens.awsKeyAccess, name, args, opts);
    const statements = pulumi
      .all([provenKeyArns("AwsKeyAccess", args.keyArns), pulumi.output(args.encryptionContext ?? {})])
      .apply(([keyArns, context]) => useStatements(keyArns, context));
    const policy = statements.apply((Statement) => JSON.stringify({ Version: "2012-10-17", Statement }));
    const granted = Object.entries(args.roles ?? {}).map(([key, role]) => {
      const { RolePolicy } = loadAws();
      return new RolePolicy(`${name}-${key}`, { role, policy }, { parent: this, protect: args.protectGrants ?? true });
    });
    this.policy = pulumi.all([policy, ...granted.map((resource) => resource.urn)]).apply(([text]) => text ?? "");
    this.statements = statements.apply((list) => JSON.stringify(list));
    this.registerOutputs({ policy: this.policy, statements: this.statements });
  }
}
