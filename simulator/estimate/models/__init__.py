"""Models of correlated price paths, each a map from uniform numbers to prices relative to the start.

A model makes no random numbers itself: `draws` does, and a path's numbers depend on nothing but the seed and the path's
index. Independent, antithetic and Sobol draws, and importance sampling, therefore work with every model.
"""
