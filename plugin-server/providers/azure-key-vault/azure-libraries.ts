/** All that this folder uses of other packages, in one file, so that it can be loaded as a whole and late. */
export { createHttpHeaders } from "@azure/core-rest-pipeline";
export {
  ClientCertificateCredential,
  ClientSecretCredential,
  ManagedIdentityCredential,
  WorkloadIdentityCredential,
} from "@azure/identity";
export { CryptographyClient } from "@azure/keyvault-keys";
export { asn1, pkcs12, pki } from "node-forge";
export { Agent, buildConnector, EnvHttpProxyAgent, Pool } from "undici";
export { parse as parseYaml } from "yaml";
