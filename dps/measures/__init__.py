"""What is measured of a network: smoothness, noise of gradients, loss and error."""
