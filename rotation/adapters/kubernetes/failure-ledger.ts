/**
 * What did not go through in a pass, object by object, with the reason. A namespace or a resource that refuses again and
 * again is kept apart, so that a webhook of one team holds nobody else's objects up, and memory does not grow with what it
 * refuses: what is left of it is counted, and not offered in this pass any more.
 */
import type { ObjectFailure } from "../../observation";
import type { ListedObject } from "./paged-list";

export interface FailureLedger {
  add(object: ListedObject, reason: string): void;
  /** Whether the object is left out, because too many of its kind or its namespace were refused; then it counts as such. */
  passesOver(object: ListedObject): boolean;
  /** Takes those out that are worth another try. */
  takeForRetry(): readonly ListedObject[];
  result(): readonly ObjectFailure[];
}

/** So many refusals are a refusal of everything there. */
export const mostOfNamespace = 250;
export const mostOfResource = 1_000;
/** Of what is kept apart so many are named. */
const shown = 20;

interface Refused {
  readonly object: ListedObject;
  readonly reason: string;
}

/** A namespace of a resource, or a whole resource. */
interface Place {
  readonly resource: string;
  readonly namespace: string;
  refused: number;
  leftOut: number;
}

export function failureLedger(): FailureLedger {
  let kept: Refused[] = [];
  const places = new Map<string, Place>();

  const idOf = (resource: string, namespace: string) => `${resource} ${namespace}`;
  function count(resource: string, namespace: string, refused: number): void {
    const id = idOf(resource, namespace);
    const place = places.get(id) ?? { resource, namespace, refused: 0, leftOut: 0 };
    place.refused += refused;
    places.set(id, place);
  }
  function countOf({ resource, namespace }: ListedObject, refused: number): void {
    count(resource.name, "", refused);
    if (namespace !== "") count(resource.name, namespace, refused);
  }
  const isFull = ({ namespace, refused }: Place) => refused >= (namespace === "" ? mostOfResource : mostOfNamespace);
  /** The resource or the namespace that refuses too often. */
  const placeApart = ({ resource, namespace }: ListedObject): Place | undefined =>
    [places.get(idOf(resource.name, "")), places.get(idOf(resource.name, namespace))].find(
      (place) => place !== undefined && isFull(place),
    );

  /** Of one that is kept apart: some by name, and one that stands for the others. */
  function summary({ resource, namespace, leftOut }: Place, refused: readonly Refused[]): readonly ObjectFailure[] {
    const others = refused.length - Math.min(refused.length, shown) + leftOut;
    const where = namespace === "" ? resource : `${resource} of one namespace`;
    const reason = `of ${where}, ${refused.length} were refused and ${leftOut} more not tried: ${refused.at(-1)?.reason ?? ""}`;
    return [...refused.slice(0, shown).map(failureOf), { resource, namespace, name: "", reason, objects: others }];
  }

  return {
    add: (object, reason) => {
      kept.push({ object, reason });
      countOf(object, 1);
    },
    passesOver: (object) => {
      const place = placeApart(object);
      if (place !== undefined) place.leftOut += 1;
      return place !== undefined;
    },
    takeForRetry: () => {
      const again = kept.filter(({ object }) => placeApart(object) === undefined);
      kept = kept.filter(({ object }) => placeApart(object) !== undefined);
      for (const { object } of again) countOf(object, -1);
      return again.map(({ object }) => object);
    },
    result: () => {
      const apart = new Map<Place, Refused[]>();
      const failures: ObjectFailure[] = [];
      for (const refused of kept) {
        const place = placeApart(refused.object);
        if (place === undefined) failures.push(failureOf(refused));
        else if (apart.get(place)?.push(refused) === undefined) apart.set(place, [refused]);
      }
      for (const [place, refused] of apart) failures.push(...summary(withItsNamespaces(place), refused));
      return failures;
    },
  };

  /** A resource with what its namespaces have left out before it was kept apart itself. */
  function withItsNamespaces(place: Place): Place {
    if (place.namespace !== "") return place;
    const parts = [...places.values()].filter(({ resource }) => resource === place.resource);
    return { ...place, leftOut: parts.reduce((sum, { leftOut }) => sum + leftOut, 0) };
  }
}

function failureOf({ object, reason }: Refused): ObjectFailure {
  return { resource: object.resource.name, namespace: object.namespace, name: object.name, reason };
}
