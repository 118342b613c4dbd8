with source as (

    select * from {{ landing_source('programme_enrolments') }}

),

versions as (

    select
        customer_key,
        programme,
        joined_date,
        left_date,
        known_at,
        revision,
        {{ visible_from_month_number('known_at', month_number('joined_date')) }} as visible_from_month_number
    from source

),

final as (

    select
        versions.*,
        {{ visible_until_month_number(['customer_key', 'programme', 'joined_date']) }} as visible_until_month_number,
        {{ is_latest_version(['customer_key', 'programme', 'joined_date']) }} as is_latest_version
    from versions

)

select * from final
