/** The outputs of every resource that carries a rollout out: the SDK makes an output of what the constructor names, and of nothing else. */
export const rolloutOutputs = {
  activeKeyVersion: undefined,
  atGoal: undefined,
  plan: undefined,
  evidence: undefined,
  report: undefined,
} as const;
