"""What tests of the alerts share: a real SMTP server and a real HTTP receiver on loopback, and a channel that is slow."""
