/** Mean delays by airport of departure. Sums are whole minutes, so that they are equal in whatever order they grew. */

export interface Airport {
  readonly airport: string
  readonly flights: number
  readonly minutes: number
}

export class Delays {
  private readonly airports = new Map<string, { flights: number; minutes: number }>()

  add(airport: string, delay: number): void {
    const found = this.airports.get(airport)
    if (found === undefined) this.airports.set(airport, { flights: 1, minutes: delay })
    else {
      found.flights++
      found.minutes += delay
    }
  }

  /** All airports, the worst mean delay first. */
  ranking(): ReadonlyArray<Airport> {
    return Array.from(this.airports, ([airport, sums]) => ({ airport, ...sums })).toSorted((a, b) =>
      mean(b) - mean(a) || (a.airport < b.airport ? -1 : 1)
    )
  }
}

export const mean = (airport: Airport): number => airport.minutes / airport.flights
