/** What tests of AksKmsSettings have: the fake ARM, the provider in front of it, made anew for each test, and a stack with one such resource. */
import { typeTokens } from "../../../core/type-tokens";
import { type AksSide, startAksSide, type TestCluster } from "../../rotation/adapters/aks/aks-side";
import { aksProviderSide } from "./aks-provider-side";
import type { EngineSide } from "./engine-side";
import { rolloutStack } from "./rollout-stack";

/** Short ones, as the resource's input. */
export const aksLimits = { apiSeconds: 5, grantSeconds: 0.2, settleSeconds: 0.05 };

export interface AksStack {
  readonly aks: AksSide;
  readonly side: EngineSide;
  readonly stack: ReturnType<typeof rolloutStack>;
}

/**
 * For a `describe`: registers its hooks, and gives each test's own to `use`. `clusters` are those that the provider can get at, by their ids.
 */
export function aksStack(clusters: ReadonlyMap<string, TestCluster>, use: (made: AksStack) => void): void {
  let aks: AksSide;
  let side: EngineSide;
  before(async () => {
    aks = await startAksSide();
  });
  after(() => aks.close());
  beforeEach(async () => {
    side = await aksProviderSide(aks, clusters);
    use({ aks, side, stack: rolloutStack(side, side.resource(typeTokens.aksKmsSettings)) });
  });
  afterEach(() => side.close());
}
