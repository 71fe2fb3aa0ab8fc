"""The graph of a snapshot: who holds claims on whom, how often the same collateral is pledged, and along which ways
a failure travels."""
