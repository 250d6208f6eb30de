"""What all engines share: a trained network with what it takes to sample from it."""
