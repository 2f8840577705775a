"""Signing campaigns when they are posted, and believing them when something is about to be done for them.

The anchor is the key ring: whoever can write tables can write neither a signature nor a key that is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.domain.campaigns import Campaign
from shared.domain.reversions import Reversion
from shared.ports.keys import KeyRing
from shared.trust.signers import KeyRole
from shared.trust.specs import SpecUntrusted, sign_spec, verify_spec
from shared.wire.campaign_rows import write_signed_edit, write_signed_reversion, write_signed_spec


@dataclass(frozen=True, slots=True)
class SpecDesk:
    """What signing and believing need."""

    keys: KeyRing

    def sign(self, campaign: Campaign) -> Campaign:
        """The campaign with its specification signed.

        Raises:
            PortError: The key cannot be used now.
        """
        signature = sign_spec(write_signed_spec(campaign), self.keys.newest(KeyRole.SPECS))
        return replace(campaign, spec_signature=signature)

    def sign_edit(self, campaign: Campaign) -> Campaign:
        """The campaign with the edit of its waves that is asked for signed.

        Raises:
            PortError: The key cannot be used now.
        """
        if campaign.wave_edit is None:
            raise TypeError(f"no edit of the waves of {campaign.id} is asked for")
        signature = sign_spec(write_signed_edit(campaign), self.keys.newest(KeyRole.SPECS))
        return replace(campaign, wave_edit=replace(campaign.wave_edit, signature=signature))

    def check_edit(self, campaign: Campaign) -> None:
        """Return if the campaign is what was signed, and the edit of its waves that is asked for was, too.

        Raises:
            SpecUntrusted: One of them was not.
            PortError: The keys cannot be had now.
        """
        self.check(campaign)
        signature = campaign.wave_edit.signature if campaign.wave_edit else ""
        verify_spec(signature, write_signed_edit(campaign), self.keys.public_keys(KeyRole.SPECS))

    def sign_reversion(self, campaign: Campaign) -> Campaign:
        """The campaign with the order to revert it signed.

        Raises:
            PortError: The key cannot be used now.
        """
        signature = sign_spec(write_signed_reversion(campaign), self.keys.newest(KeyRole.SPECS))
        return replace(campaign, reversion=replace(campaign.reversion or Reversion(), signature=signature))

    def check_reversion(self, campaign: Campaign) -> None:
        """Return if the campaign is what was signed, and the order to revert it was, too.

        Raises:
            SpecUntrusted: One of them was not.
            PortError: The keys cannot be had now.
        """
        self.check(campaign)
        signature = campaign.reversion.signature if campaign.reversion else ""
        verify_spec(signature, write_signed_reversion(campaign), self.keys.public_keys(KeyRole.SPECS))

    def check(self, campaign: Campaign) -> None:
        """Return if the campaign, its package and its waves are what was signed.

        Raises:
            SpecUntrusted: They are not.
            PortError: The keys cannot be had now.
        """
        verify_spec(campaign.spec_signature, write_signed_spec(campaign), self.keys.public_keys(KeyRole.SPECS))
        if campaign.waves and tuple(wave.spec for wave in campaign.waves) != campaign.spec.waves:
            raise SpecUntrusted("its waves are not those that were signed when it was posted")
