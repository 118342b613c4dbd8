with source as (

    select * from {{ landing_source('payments') }}

),

versions as (

    select
        payment_id,
        bill_id,
        customer_key,
        channel,
        amount as paid_amount,
        paid_date,
        -- What a later bill contains is settled here and owed there: no money came.
        coalesce(channel, '') <> 'carried_over' as is_money,
        known_at,
        revision,
        {{ visible_from_month_number('known_at', month_number('paid_date')) }} as visible_from_month_number
    from source

),

final as (

    select
        versions.*,
        {{ visible_until_month_number(['payment_id']) }} as visible_until_month_number,
        {{ is_latest_version(['payment_id']) }} as is_latest_version
    from versions

)

select * from final
