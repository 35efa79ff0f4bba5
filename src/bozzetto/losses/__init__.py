"""The losses. Each returns one number per item [B]; whoever trains takes the mean."""
