# SPDX-License-Identifier: Apache-2.0
"""What the tests do to a gateway: documents spoiled at will, a hostile fleet, processes stopped at a line of their log."""
