"""What several tests share: clips, trees, stores."""
