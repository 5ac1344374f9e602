"""The stages that outgrow memory or a machine: the same functions on partitions, in this process or on a cluster."""
