/** As whom the API servers of an AKS cluster are asked. Stands in users' programs and state: never change a value. */
export const AksCredential = {
  /** The cluster's own administrator, as `az aks get-credentials --admin` gives it. Not there where local accounts are disabled. */
  Admin: "Admin",
  /** Whoever runs Pulumi: the cluster user's certificate, or a token of Entra ID where the cluster wants one. */
  User: "User",
} as const;
export type AksCredential = (typeof AksCredential)[keyof typeof AksCredential];
