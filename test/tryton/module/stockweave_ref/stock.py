"""The external reference of a stock move, unique within its company.

A writer that lost its answer and asks again is refused by the database itself,
whatever it knows or forgot. The reference sits on the move, not on the shipment
around it, because every document that changes stock has moves.
"""
from trytond.i18n import gettext
from trytond.model import Unique, fields
from trytond.model.exceptions import AccessError
from trytond.pool import PoolMeta


class Move(metaclass=PoolMeta):
    __name__ = 'stock.move'

    external_ref = fields.Char(
        "External Reference", strip=False,
        help="The reference under which another system asked for this move.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'external_ref_unique',
                Unique(table, table.company, table.external_ref),
                'stockweave_ref.msg_external_ref_unique'))

    @classmethod
    def check_modification(cls, mode, moves, values=None, external=False):
        super().check_modification(
            mode, moves, values=values, external=external)
        if mode != 'write' or 'external_ref' not in (values or {}):
            return
        for move in moves:
            # Two writers may want to take one move that a person has entered;
            # the first has it.
            if move.external_ref and (
                    move.external_ref != values['external_ref']):
                raise AccessError(gettext(
                        'stockweave_ref.msg_external_ref_fixed',
                        move=move.rec_name))

    @classmethod
    def copy(cls, moves, default=None):
        # A shipment through transit and a split move are copies of the first;
        # the reference stays with the original.
        default = dict(default or {})
        default.setdefault('external_ref', None)
        return super().copy(moves, default=default)
