"""paritylab: one deep-learning scenario, three programming models, the same numbers."""
